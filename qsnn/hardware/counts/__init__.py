"""How often a net computes and reads what: operations and accesses, each a formula of sizes and measured rates."""
