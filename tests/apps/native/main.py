print("native")
