"""Requests over HTTP, and files that arrive in several tries. For every room that talks to a server."""
