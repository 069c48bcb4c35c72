"""The papers' methods: conversion, twins, single spikes."""
