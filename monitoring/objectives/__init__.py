"""What are users promised, and does the endpoint answer at all?"""
