"""The interfaces of plug-ins and of what stages share."""
