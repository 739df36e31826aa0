"""Watch, store, queue, observe, plan, execute."""
