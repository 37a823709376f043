"""R's ``model.frame``: columns of whatever frame a user has, evaluated by a closed list of functions."""
