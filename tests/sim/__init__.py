"""The real code of all agents over an in-memory broker that loses, repeats, delays and crashes."""
