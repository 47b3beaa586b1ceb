"""A simulated telephone carrier with simulated people: a process of its own that the engine knows only by its wire.

It shares no state with the engine: signed webhooks, a REST interface and Twilio's media frames over loopback are all
there is between them, as with a real carrier. Run it with `python -m engine.simulator`.
"""
