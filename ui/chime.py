"""A short sound when an alert fires, if this tab wants it. Made by the browser, no file."""

import streamlit as st

WANTED = "sound"

_SCRIPT = """
const heard = new WeakMap();
export default function ({ data, parentElement }) {
  const last = heard.get(parentElement);
  heard.set(parentElement, data.event);
  if (!data.wanted || last === undefined || data.event <= last || !last) return;
  const audio = new AudioContext();
  [[880, 0], [1320, 0.16]].forEach(([pitch, at]) => {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.12, audio.currentTime + at);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + at + 0.3);
    tone.connect(volume).connect(audio.destination);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + at + 0.3);
  });
}
"""
_component = st.components.v2.component("pairs_chime", html="<span></span>\n", js=_SCRIPT)


def chime(event: int) -> None:
    """Sound once for each new event id; 0 = none so far."""
    wanted = bool(st.session_state.get(WANTED))
    if wanted:
        _component(key="chime", data={"event": event, "wanted": wanted}, height=1)
