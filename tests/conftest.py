"""How examples are drawn: the same in each run, so that what passed once passes again.

``pytest --hypothesis-profile=search`` draws them at random, to look for what nobody has seen yet.
"""

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("fixed")
