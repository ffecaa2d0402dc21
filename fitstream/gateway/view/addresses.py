"""Where a request came from: the peer, or what a proxy that we trust says in `Forwarded`. Pure.

A trusted proxy must overwrite or append to `Forwarded`, never pass on a visitor's own alone.
"""

from ipaddress import ip_address, ip_network

from aiohttp import web


def address_of(request: web.Request, trusted_proxies: str) -> str:
    """The caller's address without its port; the last one in the chain that is no proxy of ours."""
    peer = request.remote or ""
    if not is_trusted(peer, trusted_proxies):
        return peer
    for part in reversed(request.forwarded):
        address = without_port(part.get("for", ""))
        if address and not is_trusted(address, trusted_proxies):
            return address
    return peer


def without_port(node: str) -> str:
    """`192.0.2.1` of `192.0.2.1:4711`, `2001:db8::1` of `"[2001:db8::1]:4711"`."""
    node = node.strip().strip('"')
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


def is_trusted(address: str, trusted_proxies: str) -> bool:
    """Whether an address is one of the comma-separated addresses and networks."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    proxies = [text.strip() for text in trusted_proxies.split(",")]
    return any(found in ip_network(proxy) for proxy in proxies if proxy)
