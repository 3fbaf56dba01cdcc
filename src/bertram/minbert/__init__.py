"""The study: its rows, published figures, Table 1, leaderboard files, constant baselines."""
