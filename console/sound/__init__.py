"""Local sound. `mixer`, `speaker` and `hearing` only take; `microphone` and `talking` only give. `console.monitor`
holds both in a thread of its own, because sound does not wait for a screen."""
