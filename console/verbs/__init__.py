"""What the verbs of `voicecall` do: parse nothing, call the engine, print. One module per kind of verb."""
