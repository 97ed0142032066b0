def __getattr__(name: str) -> object: return {"x": 1}
