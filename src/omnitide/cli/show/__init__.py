"""How things look: tables, times, errors, and the forms for programs. Imports model and the standard library."""
