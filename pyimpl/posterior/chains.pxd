# Nothing here is called by other compiled modules.
