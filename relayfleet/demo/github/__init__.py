"""A stand-in for GitHub's API: for the demonstration, and for tests.

It answers GraphQL by GitHub's own schema (a query that GitHub would refuse is refused), a part of REST, with the real
limits, ETags and failures. It speaks plain HTTP over a unix socket, where the real `gh` can be pointed at.
"""
