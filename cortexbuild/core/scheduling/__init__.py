"""Which steps run, and when. Pure: it is told what came of them, and what runs.

agenda.py     which must run, found out as results come in
schedule.py   which of those that are ready start now
queues.py     those that wait, the longest way first
minima.py     the first of a row that is small enough
forecast.py   what a build will come to, by playing it through
"""
