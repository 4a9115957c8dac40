"""Guests: what a service that embeds this library would else write by hand.

``fastapi`` and ``aiohttp`` each need the extra of their name (``containerd-aio[fastapi]``). Nothing else in the
package imports them.
"""
