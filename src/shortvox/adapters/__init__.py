"""What other packages call shortvox by. Each file is for who has its package, and nothing else imports it."""
