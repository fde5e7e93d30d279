"""Copy this folder to plugins/<name>, rename it in plugin.json, and enable it in an agent's config.json:

"plugins": {"inbox": {}, "<name>": {"greeting": "hello", "remind_every_s": 3600}}
"""

import asyncio


async def setup(api):
    greeting = api.config.get("greeting", "hello")
    every_s = api.config.get("remind_every_s")

    @api.tool()
    def greet(name: str) -> str:
        """Greet somebody."""
        return f"{greeting}, {name}"

    async def remind() -> None:
        while True:
            await asyncio.sleep(every_s)
            await api.emit("Look through your inbox for what is left undone.", metadata={"kind": "reminder"})

    if every_s:
        api.spawn(remind())
