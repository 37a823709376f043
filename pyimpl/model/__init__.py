"""From formula and data frame to design: formula -> coding -> design -> blocks (cross-products)."""
