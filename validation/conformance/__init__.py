"""Any implementation, from outside: a third party's function, fitted to the standard cases and judged like our own."""
