"""How much of every object is covered: truth boxes against a record file or against the pixels of an output.

truth reads the boxes; byrecords and bypixels measure; figures counts; cli is `anonfilter eval`.
"""
