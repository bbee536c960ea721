"""Lambda handlers: each turns an event into a call of the library."""
