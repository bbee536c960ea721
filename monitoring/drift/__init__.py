"""Are the rows that are asked about still those that training saw?"""
