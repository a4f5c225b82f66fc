def main() -> int:
    print("zero")
    return 0
