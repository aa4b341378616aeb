"""YAML, read with the place of every part, and changed with nothing else of it touched.

reading.py   a text as plain data, with places; what no one writes on purpose is refused
parts.py     where each part of a text begins and ends
entries.py   how an entry of ours is written
editing.py   put one in, or cut one out
"""
