"""Objective, ODE solvers and guidance."""
