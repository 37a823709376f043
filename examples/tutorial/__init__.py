"""The tutorial "Multilevel Models with rstanarm" (Lee, Sim, Ji & Rabe-Hesketh, 2018) in Python, beside R."""
