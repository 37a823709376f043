# Plain R: linear models and model matrices.
