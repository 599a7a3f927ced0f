"""What the user asked for: the job file, its prompts, and the tasks they expand to."""
