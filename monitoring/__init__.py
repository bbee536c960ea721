"""How is it doing? Alarms, captured requests and drift, and the Lambda handlers that run them."""
