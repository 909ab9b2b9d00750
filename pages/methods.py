"""Methods: how every number is computed, rendered from the documentation."""

from pathlib import Path

import streamlit as st

from ui import frame

DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"

frame.enter()
if DOCUMENT.is_file():
    with st.container(width=860):
        st.markdown(DOCUMENT.read_text(encoding="utf-8"))
else:
    st.info(
        "The document docs/methods.md is missing from this installation.", icon=":material/info:"
    )
