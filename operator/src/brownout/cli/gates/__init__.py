"""Why a user has what they have: gate by gate, in the order in which the flag server asks, each with its evidence.

    context -> tier -> cohort -> plan -> override -> mode -> capacity -> this user alone -> percentage

The gates are read from the typed objects, with the functions that the renderer itself is made of. What the rendered set then
answers is asked too, and held against them.
"""
