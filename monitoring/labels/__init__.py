"""How good are the answers, once their true labels have come?"""
