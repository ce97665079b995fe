"""The features of the shop: each folder here is one."""
