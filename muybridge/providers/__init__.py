"""Who can generate: the provider protocol, one file per remote, the catalogue, the router. No torch at import."""
