"""The REST routes, their answers and the OpenAI dialect of both."""
