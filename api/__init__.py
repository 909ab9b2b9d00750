"""REST and push over the running services; see `api.app`, `api.push` and `api.security`."""
