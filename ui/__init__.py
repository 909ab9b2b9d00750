"""What the pages share: the sidebar, the live component, figures, words and colours."""
