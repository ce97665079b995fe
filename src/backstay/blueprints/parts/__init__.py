"""The blueprints of what features have besides entities: jobs, events, webhooks and so on."""
