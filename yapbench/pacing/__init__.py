"""When to send what: schedules, the timer that keeps them, and one utterance leaving in real time."""
