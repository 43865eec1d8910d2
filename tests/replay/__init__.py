"""The retrospective evaluation: what a hospital would have been shown, order by order."""
