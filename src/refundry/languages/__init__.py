"""The languages of the pages for shoppers, and of the labels that they are shown."""
