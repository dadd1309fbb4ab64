"""All SQL of the kitchen, by what it is for: moving tickets, confirming what was said, looking at the board."""
