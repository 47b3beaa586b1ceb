"""voicecall's engine: calls, carriers, media, speech and the doors to them. Never imports the console."""

__version__ = "0.1.0"
