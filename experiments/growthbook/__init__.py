"""The contract of GrowthBook's SDKs (spec 0.8.0): the payload they read, and what they make of it.

Source of every rule here: the specification "Build your own SDK" of GrowthBook and its shared test
cases. Documents (features, rules, experiments) stay the JSON mappings that the specification
defines, because they are read from a payload and handed on whole.
"""
