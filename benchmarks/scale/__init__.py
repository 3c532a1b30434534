"""How far the design goes: tables of 50,000 subjects, needs of a job, a simulated cluster."""
