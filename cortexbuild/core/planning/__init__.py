"""From what the user wrote to the steps that make it. Pure: the same input gives the same plan.

planner.py       the whole
walk.py          the steps of one target, along its route
draft.py         a plan while it is made: what targets share is kept once
resolve.py       which recipe, and on which route
candidates.py    what a recipe's name stands for, and what to try instead
routes.py        by which tools a source becomes what a recipe starts from
sides.py         what is measured beside a route
bridges.py       conversions that a plan may put in by itself
policy.py        the recipe where none is named
codeallowed.py   whether code that a model brings may be run
"""
