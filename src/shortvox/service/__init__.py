"""HTTP, WebSocket and a page: what verifier and gallery say, under the same names. Needs the extra `serve`."""
